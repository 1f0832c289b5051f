"""Connection tracking entries of UDP flows whose backend is gone."""
