import Testing

@Suite struct TelemetryPlaceholder {}
