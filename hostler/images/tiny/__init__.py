"""The tiny guest: a Linux image of at most 22 MB, made on the spot from the distribution's own packages.

`build` is the one thing others call; `kernel` finds and unpacks a kernel package, `rootfs` fills the initial RAM
file system, `disk` makes a bootable qcow2 of both, and `overlay/` holds the guest's own scripts. Nothing here needs
root, a loop device or a mount.
"""
