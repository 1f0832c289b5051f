"""Our ipvs mode: rules that lead to virtual servers, local routes, and what IPVS does with a packet that comes to one."""
