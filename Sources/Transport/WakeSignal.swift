import CPlatform
import Foundation
import ZeroMQ

/// Wakes a thread that polls: a descriptor that any thread makes readable.
final class WakeSignal: Sendable {
    let descriptor: Int32

    init() throws {
        descriptor = cplatform_event_create()
        guard descriptor >= 0 else {
            throw ZeroMQError(code: errno, message: "creating an event descriptor: \(String(cString: strerror(errno)))")
        }
    }

    deinit { _ = Foundation.close(descriptor) }

    func signal() { cplatform_event_signal(descriptor) }
    func clear() { cplatform_event_clear(descriptor) }
}
