import TorchEngine

extension FuzzTarget {
    /// Frames that a torch engine sends: the first byte is their number, two bytes are the length of each.
    static let torch = FuzzTarget(name: "torch") { bytes in
        var rest = bytes.dropFirst()
        func take(_ count: Int) -> [UInt8] {
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        var frames: [[UInt8]] = [TorchMessage.magic]
        for _ in 0..<(bytes.first ?? 0) % 12 {
            frames.append(take(take(2).reversed().reduce(0) { $0 << 8 | Int($1) }))
        }
        guard let message = try? TorchMessage(reading: frames) else { return }
        // Written again it says the same: to the last bit, for no number equals one that is none.
        guard let again = try? TorchMessage(reading: message.frames), again.frames == message.frames else {
            throw BrokenPromise("a message that was read is written and read to itself")
        }
        guard let responses = try? message.responses() else { return }
        for response in responses {
            guard response.ids.count == response.logprobs.count, response.ids.count == response.versions.count else {
                throw BrokenPromise("a response has a log-probability and a version for each of its tokens")
            }
        }
    }
}
