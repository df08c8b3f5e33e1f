"""Screening: sanctions lists read in their own formats, and subjects' names compared with them."""
