"""Back ends behind one interface (`volume.drivers.driver`), found through stevedore (`hostler.volume.drivers`)."""
