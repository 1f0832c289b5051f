"""What every process needs: clocks, pauses after failures, logs."""
