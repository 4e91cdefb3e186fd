import Foundation
import Locking

/// Keeps the trainer's thread from changing what another thread is writing to disk.
package final class UpdateGate: Sendable {
    private let condition = NSCondition()
    private let holders = Locked(0)

    package init() {}

    package func hold() { holders.withLock { $0 += 1 } }

    package func release() {
        condition.withLock {
            holders.withLock { $0 -= 1 }
            condition.broadcast()
        }
    }

    /// Blocks the calling thread, which must be one of the backend's own.
    package func waitUntilReleased() {
        condition.withLock {
            while holders.withLock({ $0 > 0 }) { condition.wait() }
        }
    }
}
