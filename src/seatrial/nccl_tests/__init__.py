"""Reads what NVIDIA's nccl-tests (and AMD's rccl-tests) print and write, in layouts from 2018 to 2026.

Formats: src/common.cu and src/util.cu of https://github.com/NVIDIA/nccl-tests, old and new.
"""
