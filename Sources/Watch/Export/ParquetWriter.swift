import Foundation
import Locking

/// Writes a table as Apache Parquet by a Python that has pyarrow, in a process of its own: no library does it in Swift.
package struct ParquetWriter: Sendable {
    private let python: String

    private static let script = String(decoding: PackageResources.parquet_py, as: UTF8.self)

    /// - Parameter python: its path.
    /// - Throws: ``TableError`` where there is no such Python, or it has no pyarrow.
    package init(python: String) throws(TableError) {
        self.python = python
        let process = process(["--check"])
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        do { try process.run() } catch {
            throw TableError(description: "\(python) cannot be run; name a Python 3 that has pyarrow with --python")
        }
        process.waitUntilExit()
        switch process.terminationStatus {
        case 0: return
        case 3:
            throw TableError(
                description: "the Python package pyarrow is not installed for \(python), and Parquet is written by it; "
                    + "install it (pip install pyarrow), name a Python that has it with --python, or use --to csv")
        default:
            throw TableError(description: "\(python) is no Python 3 that works; name one with --python")
        }
    }

    /// Gives the file away piece by piece.
    /// - Throws: `FileError` of the records, ``TableError`` where it does not become a file, and what `append` throws.
    package func write(_ table: RecordTable, _ append: (_ bytes: [UInt8]) throws -> Void) throws {
        let process = process([]), input = Pipe(), output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let failure = Locked<(any Error)?>(nil), isFed = DispatchSemaphore(value: 0)
        // Both ends at once: neither of two full pipes would ever be emptied.
        let feeder = Thread {
            do {
                try table.writeTypedLines { try input.fileHandleForWriting.write(contentsOf: Data($0)) }
            } catch { failure.withLock { $0 = error } }
            try? input.fileHandleForWriting.close()
            isFed.signal()
        }
        feeder.start()
        defer {
            // Where the file is not wanted any more it has nobody to write to.
            try? output.fileHandleForReading.close()
            isFed.wait()
            process.waitUntilExit()
        }
        while let data = try output.fileHandleForReading.read(upToCount: 1 << 16), !data.isEmpty {
            try append(Array(data))
        }
        isFed.wait()
        isFed.signal()
        process.waitUntilExit()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            throw TableError(description: "\(python) has not written the table: see its message above")
        }
        if let failure = failure.withLock({ $0 }) { throw failure }
    }

    private func process(_ arguments: [String]) -> Process {
        let process = Process()
        process.executableURL = URL(filePath: python)
        process.arguments = ["-c", Self.script] + arguments
        return process
    }
}
