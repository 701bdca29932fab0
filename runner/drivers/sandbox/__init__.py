"""What a pod's processes may see and write."""
