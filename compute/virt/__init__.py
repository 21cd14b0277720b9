"""Hypervisor drivers: the interface, the real one (libvirt) and the fake that ships beside it."""
