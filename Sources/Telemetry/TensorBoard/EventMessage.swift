/// Writes fields of protobuf messages: the few of TensorBoard's that a run needs.
///
/// Fields come in ascending order of their numbers and those of the value zero are left out, as protobuf's own writers
/// do it, so that the bytes are theirs.
struct EventMessage {
    private(set) var bytes: [UInt8] = []

    mutating func varint(_ field: UInt64, _ value: UInt64) {
        guard value != 0 else { return }
        tag(field, 0)
        append(value)
    }

    mutating func double(_ field: UInt64, _ value: Double) {
        guard value.bitPattern != 0 else { return }
        tag(field, 1)
        fixed(value.bitPattern)
    }

    /// A float that is a case of a choice, and written whatever its value.
    mutating func chosenFloat(_ field: UInt64, _ value: Float) {
        tag(field, 5)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
    }

    mutating func text(_ field: UInt64, _ value: String) { content(field, Array(value.utf8)) }

    mutating func message(_ field: UInt64, _ build: (inout EventMessage) -> Void) {
        var inner = EventMessage()
        build(&inner)
        content(field, inner.bytes)
    }

    mutating func doubles(_ field: UInt64, _ values: [Double]) {
        guard !values.isEmpty else { return }
        var inner = EventMessage()
        for value in values { inner.fixed(value.bitPattern) }
        content(field, inner.bytes)
    }

    private mutating func content(_ field: UInt64, _ content: [UInt8]) {
        tag(field, 2)
        append(UInt64(content.count))
        bytes += content
    }

    private mutating func fixed(_ bits: UInt64) { withUnsafeBytes(of: bits.littleEndian) { bytes += $0 } }

    private mutating func tag(_ field: UInt64, _ kind: UInt64) { append(field << 3 | kind) }

    private mutating func append(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(value & 0x7f) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }
}

/// An event of TensorBoard, as `tensorboard/compat/proto/event.proto` and `summary.proto` define it.
struct TensorBoardEvent {
    private var message = EventMessage()

    var bytes: [UInt8] { message.bytes }

    /// - Parameters: seconds of Unix time, and the step.
    private init(_ time: Double, _ step: UInt64) {
        message.double(1, time)
        message.varint(2, step)
    }

    /// What a file begins with.
    static func version(_ time: Double) -> TensorBoardEvent {
        var event = TensorBoardEvent(time, 0)
        event.message.text(3, "brain.Event:2")
        return event
    }

    /// A run goes on: what earlier files have of this step and of later ones is void.
    static func restart(_ time: Double, step: UInt64) -> TensorBoardEvent {
        var event = TensorBoardEvent(time, step)
        event.message.message(7) { $0.varint(1, 1) }
        return event
    }

    static func scalars(_ time: Double, step: UInt64, _ values: [(tag: String, value: Double)]) -> TensorBoardEvent {
        var event = TensorBoardEvent(time, step)
        event.message.message(5) { summary in
            for (tag, value) in values {
                summary.message(1) { entry in
                    entry.text(1, tag)
                    entry.chosenFloat(2, Float(value))
                }
            }
        }
        return event
    }

    static func histogram(_ time: Double, step: UInt64, tag: String, _ histogram: EventHistogram) -> TensorBoardEvent {
        var event = TensorBoardEvent(time, step)
        event.message.message(5) { summary in
            summary.message(1) { entry in
                entry.text(1, tag)
                entry.message(5) { histogram.write(to: &$0) }
            }
        }
        return event
    }

    /// A text that the text plugin shows, as Markdown.
    static func text(_ time: Double, step: UInt64, tag: String, _ text: String) -> TensorBoardEvent {
        var event = TensorBoardEvent(time, step)
        event.message.message(5) { summary in
            summary.message(1) { entry in
                entry.text(1, tag)
                entry.message(8) { tensor in
                    // A vector of one string (DT_STRING).
                    tensor.varint(1, 7)
                    tensor.message(2) { shape in shape.message(2) { $0.varint(1, 1) } }
                    tensor.text(8, text)
                }
                entry.message(9) { metadata in metadata.message(1) { $0.text(1, "text") } }
            }
        }
        return event
    }
}

/// Counts of values in buckets that are narrow around 0 and wide far from it.
struct EventHistogram {
    /// Upper ends of the buckets, in nats.
    static let limits: [Double] = {
        let positive = (-8...5).flatMap { exponent in [1.0, 1.5].map { $0 * scale(exponent) } }
        return positive.reversed().map { -$0 } + [0] + positive + [.greatestFiniteMagnitude]
    }()

    private static func scale(_ exponent: Int) -> Double {
        exponent < 0 ? 1 / Double(1 << -exponent) : Double(1 << exponent)
    }

    private(set) var counts = [Double](repeating: 0, count: EventHistogram.limits.count)
    private(set) var count = 0.0
    private var least = Double.infinity, most = -Double.infinity, sum = 0.0, squares = 0.0

    /// Values that are no numbers are left out.
    mutating func add(_ value: Double) {
        guard value.isFinite else { return }
        var low = 0, high = Self.limits.count - 1
        while low < high {
            let middle = (low + high) / 2
            if value <= Self.limits[middle] { high = middle } else { low = middle + 1 }
        }
        counts[low] += 1
        count += 1
        (least, most) = (min(least, value), max(most, value))
        sum += value
        squares += value * value
    }

    /// Empty buckets at both ends are left out.
    func write(to message: inout EventMessage) {
        message.double(1, least)
        message.double(2, most)
        message.double(3, count)
        message.double(4, sum)
        message.double(5, squares)
        guard let first = counts.firstIndex(where: { $0 > 0 }), let last = counts.lastIndex(where: { $0 > 0 }) else {
            return
        }
        // One empty bucket in front tells where the first one begins.
        let shown = max(0, first - 1)...last
        message.doubles(6, Array(Self.limits[shown]))
        message.doubles(7, Array(counts[shown]))
    }
}
