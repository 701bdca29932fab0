"""Makes what is like what should be, pod by pod."""
