"""pytest plug-in of gdjax."""
