"""Diffusion: denoisers of small images to a Frechet distance, and FLUX-like transformers to an evaluation loss."""
