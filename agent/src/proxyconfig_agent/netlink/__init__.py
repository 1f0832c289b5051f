"""Netlink messages: frames, attributes, sockets."""
