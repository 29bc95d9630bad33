//! Test kit: wheels, sdists, debs, suites, ELF objects in memory; index, mirror and registry on loopback.
