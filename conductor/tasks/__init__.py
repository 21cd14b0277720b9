"""Tasks: each does one outside thing, survives being run or reverted twice, and says what its revert undoes."""
