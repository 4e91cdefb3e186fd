import Foundation

/// The memory of this process, as Linux counts it.
struct ProcessMemory {
    /// Resident bytes when the process was small.
    private let atStart: Int
    /// Resident bytes when what is measured now began.
    private var before: Int

    init() {
        atStart = Self.bytes("VmRSS")
        before = atStart
        Self.forgetPeak()
    }

    /// The most that a process needs which does only what was done since the last call.
    mutating func take() -> Int {
        defer {
            before = Self.bytes("VmRSS")
            Self.forgetPeak()
        }
        return atStart + max(0, Self.bytes("VmHWM") - before)
    }

    /// Bytes of the machine.
    static var ofMachine: Int { Int(clamping: ProcessInfo.processInfo.physicalMemory) }

    /// A line of the process's status such as `VmRSS:   1234 kB`; 0 where the system has none.
    private static func bytes(_ name: String) -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name + ":") }),
            let count = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else { return 0 }
        return count * 1024
    }

    /// Has the peak counted anew. Where that is not allowed the peak stays that of the whole process, which is more.
    private static func forgetPeak() {
        guard let file = FileHandle(forWritingAtPath: "/proc/self/clear_refs") else { return }
        try? file.write(contentsOf: Data("5".utf8))
        try? file.close()
    }
}
