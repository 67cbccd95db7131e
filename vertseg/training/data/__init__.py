"""Training data: data sets are checked, dealt into folds by patient and stored as arrays."""
