"""Network blocks and networks: no losses, no optimisers, no configs."""
