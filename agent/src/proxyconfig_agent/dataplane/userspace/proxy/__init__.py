"""The proxy process. It is started by the agent and told routes over a socket; it serves on sockets that it inherits.

messages    what agent and process say to each other
routes      which Service port is behind an original destination (pure)
endpoints   which endpoint a client gets: round robin, affinity (pure)
failures    which endpoints are skipped for a while (pure)
event_loop  sockets and timers of one thread
relay, pipes, connection, dial, tcp    TCP: one direction, the kernel's buffers for it, both directions, connecting, accepting
udp, flow   UDP
original_destination    where a client sent to, before a rule translated it
stale_flows ends what connection tracking still leads here
control     takes messages from the agent
"""
