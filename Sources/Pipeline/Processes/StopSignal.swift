import UnixSignals

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Turns the first SIGINT or SIGTERM into an orderly stop, and the second into an immediate end.
final class StopSignal: Sendable {
    private let task: Task<Void, Never>
    private let received = Locked<Int32>(0)

    /// - Parameter stop: called once, with the signal's name.
    init(_ stop: @escaping @Sendable (_ signal: String) async -> Void) {
        let received = received
        task = Task {
            let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
            for await signal in signals {
                let number = signal.rawValue
                let isFirst = received.withLock { value in
                    let wasUnset = value == 0
                    if wasUnset { value = number }
                    return wasUnset
                }
                guard isFirst else { exit(128 + number) }
                await stop("\(signal)")
            }
        }
    }

    /// 128 plus the signal's number, as shells report it; that of SIGTERM when none came.
    var exitCode: Int32 {
        let number = received.withLock { $0 }
        return 128 + (number == 0 ? SIGTERM : number)
    }

    func end() { task.cancel() }
}
