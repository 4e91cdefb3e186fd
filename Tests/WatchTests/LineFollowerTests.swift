import Foundation
import Testing
import Watch

@Suite struct LineFollowerTests {
    /// Follows a file and keeps what it has read of it.
    private final class Reading {
        let fixture: RunFolderFixture
        var follower = LineFollower(LineScanner(limit: 1000))
        var lines: [String] = []
        var beginnings = 0

        init() throws { fixture = try RunFolderFixture() }

        func append(_ text: String) throws {
            let path = fixture.run.metrics
            if !FileManager.default.fileExists(atPath: path) { try fixture.write("", to: path) }
            let file = try #require(FileHandle(forWritingAtPath: path))
            try file.seekToEnd()
            try file.write(contentsOf: Data(text.utf8))
        }

        @discardableResult
        func look() throws -> LineScanner.Report? {
            try follower.follow(fixture.run.metrics) {
                lines = []
                beginnings += 1
            } line: { bytes, _ in
                lines.append(String(decoding: bytes, as: UTF8.self))
            }
        }
    }

    @Test func onlyWhatHasComeIsRead() throws {
        let reading = try Reading()
        #expect(throws: (any Error).self) { try reading.look() }
        try reading.append("a\nb\nhal")
        try reading.look()
        #expect(reading.lines == ["a", "b"] && reading.beginnings == 1)
        #expect(try reading.look() == nil)
        try reading.append("f")
        #expect(try reading.look()?.end.offset == 4)
        try reading.append("\nc\n")
        try reading.look()
        #expect(reading.lines == ["a", "b", "half", "c"] && reading.beginnings == 1)
    }

    @Test func aLineThatIsTooLongIsCountedOnceHoweverItComes() throws {
        let reading = try Reading()
        var tooLong = 0
        try reading.append("a\n")
        try reading.look()
        for _ in 0..<40 {
            try reading.append(String(repeating: "x", count: 500))
            tooLong += try reading.look()?.tooLong ?? 0
        }
        try reading.append("\nb\n")
        tooLong += try reading.look()?.tooLong ?? 0
        #expect(reading.lines == ["a", "b"] && tooLong == 1 && reading.beginnings == 1)
    }

    @Test func aFileThatIsCutOrAnotherIsReadFromItsBeginning() throws {
        let reading = try Reading(), path = reading.fixture.run.metrics
        try reading.append("a\nb\nc\n")
        try reading.look()
        // Cut, as when a run goes on from a checkpoint.
        try reading.fixture.write("a\n", to: path)
        try reading.look()
        #expect(reading.lines == ["a"] && reading.beginnings == 2)
        // Cut and written on between two looks, with as many bytes and more.
        try reading.append("b\nc\n")
        try reading.look()
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        try file.truncate(atOffset: 2)
        try file.seekToEnd()
        try file.write(contentsOf: Data("B\nC\nd\n".utf8))
        try reading.look()
        #expect(reading.lines == ["a", "B", "C", "d"])
        // Another under its name.
        try FileManager.default.removeItem(atPath: path)
        try reading.fixture.write("z\nz\nz\nz\nz\n", to: path)
        try reading.look()
        #expect(reading.lines == ["z", "z", "z", "z", "z"] && reading.beginnings == 4)
    }
}
