"""QEMU guests through libvirt. The only package that imports libvirt-python."""
