/** Imported first by a test that starts and stops a lab: every name is then another than the developer's lab's. */
process.env.PODFERRY_LAB_INSTANCE = 'test'
