"""How far a rollout is, what there was before, and the way back; pure."""
