import Testing

@Suite struct ZeroMQPlaceholder {}
