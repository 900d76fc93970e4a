"""Where bytes go: the mounts, what counts their bytes, and the kernel's page cache before them."""
