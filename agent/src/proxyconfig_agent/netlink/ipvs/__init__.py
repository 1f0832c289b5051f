"""IPVS over generic netlink: commands, answers, the connection, and the listing in /proc."""
