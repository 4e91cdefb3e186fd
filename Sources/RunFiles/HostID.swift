import Foundation

/// Tells processes that can share memory: equal for all on one boot of one host.
package enum HostID {
    /// The kernel's boot id and the host name.
    package static func current() -> String {
        let boot = (try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)) ?? ""
        return boot.trimmingCharacters(in: .whitespacesAndNewlines) + "@" + ProcessInfo.processInfo.hostName
    }
}
