"""The conductor: claims operations, runs their flows, takes over those of a conductor that died."""
