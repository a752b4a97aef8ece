"""The Mixture-of-Experts layer for NVIDIA Hopper (sm_90a): one cooperative launch per call."""
