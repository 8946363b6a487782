"""A worker's script: found, imported, and its errors told in its own words."""
