"""What a PodBinding is worth: pure rules that reconciler, service and authoriser share."""
