"""The methods of the field: one method, one file, one `Learner`."""
