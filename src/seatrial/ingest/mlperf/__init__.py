"""Result folders of MLPerf Training: a vendor's, a submitter's, or a whole round."""
