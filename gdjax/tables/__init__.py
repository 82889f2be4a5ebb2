"""Tables from files (CSV, npz, npy, Parquet, Feather) and frames (pandas, Polars, Arrow), as arrays with names."""

from gdjax.tables.encoding import Column
from gdjax.tables.table import Table, from_frame, read

__all__ = ["Column", "Table", "from_frame", "read"]
