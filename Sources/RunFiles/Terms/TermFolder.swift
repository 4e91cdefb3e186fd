import Files
import Glibc
import Wording

/// A run's terms: which learner owns its folder.
///
/// `terms/` of a run's folder has one folder, `term-000007`, whose name has the number of the term; in it are the
/// holder's record and everything that the holder is about to put into the run's folder. Another takes the run over by
/// giving that folder the next number. This one rename is all: of several who try, one succeeds; and whatever the holder
/// before still had under way had its place in a folder that is no longer there, so that it comes to nothing, at
/// whatever instruction that process was suspended.
package struct TermFolder: Sendable {
    package let run: RunFolder
    /// `terms/` of the run's folder.
    private let path: String
    static let holder = "holder"
    private static let prefix = "term-"

    package init(_ run: RunFolder) {
        self.run = run
        path = "\(run.path)/terms"
    }

    /// Whether a learner has ever owned the folder by terms.
    package var isThere: Bool { FileTree.leadsToFolder(path) }

    private func path(_ number: Int) -> String { "\(path)/\(Self.prefix)\(number.padded(to: 6))" }

    private func numbers() throws(FileError) -> [Int] {
        try FileTree.names(in: path).compactMap { name in
            guard name.hasPrefix(Self.prefix), let number = Int(name.dropFirst(Self.prefix.count)), number > 0,
                number <= TermRecord.latest, path(number) == "\(path)/\(name)"
            else { return nil }
            return number
        }
    }

    /// The present term; nil: there is none.
    package func sight() throws(FileError) -> TermSight? {
        // One that is taken over between the list and the look has another name.
        for _ in 0..<100 {
            guard isThere else { return nil }
            let numbers = try numbers().sorted()
            for number in numbers.reversed() {
                // A folder without a record is what a fenced process has made again for itself.
                if let bytes = Self.record(in: path(number)) { return TermSight(number: number, bytes: bytes) }
            }
            if numbers.isEmpty { return nil }
        }
        throw FileError(path, .read, code: ENOENT)
    }

    static func record(in folder: String) -> [UInt8]? {
        let file = try? OpenFile.reading("\(folder)/\(holder)", followsLinks: false)
        return try? file?.readAll(limit: TermRecord.byteCount)
    }

    /// Whether the process that holds this term is known to be gone: it was on this machine, and its lock is free.
    package func isDead(_ sight: TermSight, host: String) -> Bool {
        guard let record = sight.record, record.host == host,
            let file = try? OpenFile.reading("\(path(sight.number))/\(Self.holder)", followsLinks: false)
        else { return false }
        return flock(file.descriptor.rawValue, LOCK_SH | LOCK_NB) == 0
    }

    /// Begins the first term.
    /// - Returns: nil when another was quicker.
    package func begin(host: String, after: Duration) throws -> HeldTerm? {
        try FileTree.createFolder(path)
        try checkDevices()
        let record = Self.newRecord(1, host, after), made = "\(path)/.new-\(record.holder)"
        try FileTree.createFolder(made)
        let file = try HeldTerm.write(record, into: made)
        guard rename(made, path(1)) == 0 else {
            let code = errno
            try? FileTree.remove(made)
            guard code == ENOTEMPTY || code == EEXIST else { throw FileError(path(1), .place, code: code) }
            return nil
        }
        try FileTree.sync(path)
        // There may have been a second term already when this became the first.
        guard try sight()?.number == 1 else {
            try FileTree.remove(path(1))
            return nil
        }
        return HeldTerm(record, path(1), of: self, file)
    }

    /// Takes over after the term that was seen.
    /// - Returns: nil when another was quicker, or the holder has come back to life and moved on.
    package func take(_ sight: TermSight, host: String, after: Duration) throws -> HeldTerm? {
        guard sight.number < TermRecord.latest else {
            throw RunFolderError("\(path) has had as many terms as it can have; go on as another run with --from")
        }
        try checkDevices()
        let number = sight.number + 1
        guard rename(path(sight.number), path(number)) == 0 else {
            let code = errno
            guard [ENOENT, ENOTEMPTY, EEXIST].contains(code) else {
                throw FileError(path(number), .place, code: code)
            }
            return nil
        }
        // A process that was taken over may have made a folder again for itself under the number that was seen.
        guard let moved = Self.record(in: path(number)), sight.isSameHolder(asIn: moved) else {
            try FileTree.remove(path(number))
            return nil
        }
        let record = Self.newRecord(number, host, after)
        let file = try HeldTerm.write(record, into: path(number))
        // What the holder before was about to put into the run's folder; and where it made itself a folder again.
        for name in try FileTree.names(in: path(number)) where name != Self.holder {
            try FileTree.remove("\(path(number))/\(name)")
        }
        for other in try numbers() where other < number { try FileTree.remove(path(other)) }
        try FileTree.sync(path(number))
        try FileTree.sync(path)
        return HeldTerm(record, path(number), of: self, file)
    }

    /// Checks that this process may change what is there, before it has to.
    package func checkAccess() throws {
        let probe = "\(path)/.probe-\(getpid())"
        try FileTree.remove(probe)
        try FileTree.createFolder(probe)
        try FileTree.remove(probe)
    }

    /// Removes a term, where it still has its name, and what is empty then.
    func remove(_ term: String) throws(FileError) {
        let gone = "\(path)/.gone-\(getpid())"
        try FileTree.remove(gone)
        try FileTree.rename(term, to: gone)
        try FileTree.remove(gone)
        rmdir(path)
    }

    /// A rename is what keeps two learners apart, and there is none between two file systems.
    private func checkDevices() throws {
        for other in [run.path, run.checkpoints] where FileTree.leadsToFolder(other) {
            guard try Self.device(other) == Self.device(path) else {
                throw RunFolderError(
                    "\(other) is on another file system than \(path); a run with pipeline.standby_after_s needs both on "
                        + "one: choose another run_folder, or leave the key out")
            }
        }
    }

    private static func device(_ path: String) throws(FileError) -> UInt {
        var status = stat()
        guard stat(path, &status) == 0 else { throw FileError(path, code: errno) }
        return UInt(status.st_dev)
    }

    private static func newRecord(_ number: Int, _ host: String, _ after: Duration) -> TermRecord {
        TermRecord(
            holder: .random(in: 1 ... .max), term: number, host: host, process: Int(getpid()), after: after)
    }
}
