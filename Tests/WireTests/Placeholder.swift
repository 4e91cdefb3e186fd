import Testing

@Suite struct WirePlaceholder {}
