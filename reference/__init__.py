"""What the kernel is compared with: a float64 oracle and honest baselines. Imports nothing of ours."""
