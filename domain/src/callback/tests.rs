// tests come with the property suite
