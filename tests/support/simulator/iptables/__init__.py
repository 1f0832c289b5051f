"""The iptables mode: takes what the agent feeds to iptables-restore, and interprets the rules' text as packets meet it."""
