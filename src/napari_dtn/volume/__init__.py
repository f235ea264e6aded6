"""Files in, lazy arrays out: numpy, dask and zarr, no torch."""
