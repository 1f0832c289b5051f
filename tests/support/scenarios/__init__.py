"""What a node does with traffic to Services, as data: cluster objects in YAML, and who reaches what. `README.md` has the format."""
