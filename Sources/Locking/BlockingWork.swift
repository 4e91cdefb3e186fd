import Foundation

/// Runs blocking work on a thread of its own, never on Swift's cooperative pool.
/// - Parameter name: of the thread, at most 15 characters.
package func onThread<Result: Sendable>(_ name: String, _ work: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
        let thread = Thread { continuation.resume(returning: work()) }
        thread.name = name
        thread.start()
    }
}
