import Foundation
import Testing
import Watch

@Suite struct RecordTableTests {
    private func table(_ lines: String) throws -> (table: RecordTable, text: String) {
        let fixture = try RunFolderFixture()
        try fixture.write(lines, to: fixture.run.metrics)
        let table = try RecordTable(fixture.run.metrics)
        // Lines that come meanwhile, with members that no column has, are not of this table.
        try fixture.write(lines + "{\"later\":1}\n", to: fixture.run.metrics)
        var bytes: [UInt8] = []
        try table.write { bytes += $0 }
        return (table, try #require(String(validating: bytes, as: UTF8.self)))
    }

    @Test func aLineIsARowAndAMemberAColumn() throws {
        let (table, text) = try table(
            """
            {"step":1,"loss":0.1,"skipped":null}
            {"step":2,"loss":1e-7,"tags":["a","b"],"extra":true}
            no record
            {"loss":-3,"step":9007199254740993,"loss":4}

            """)
        #expect(
            text == """
                step,loss,skipped,tags,extra\r
                1,0.1,,,\r
                2,1e-07,,"[""a"",""b""]",true\r
                9007199254740993,-3,,,\r

                """)
        #expect(table.rowCount == 3 && table.unreadable == 1)
    }

    @Test func textsKeepWhatSeparatesFields() throws {
        let (_, text) = try table(
            """
            {"a,b":"x\\"y","c":"two\\r\\nlines","d":"\\r","e":" plain "}

            """)
        #expect(text == "\"a,b\",c,d,e\r\n\"x\"\"y\",\"two\r\nlines\",\"\r\", plain \r\n")
    }

    @Test func whatIsNoRunsRecordIsRefused() throws {
        let many = (0...RecordTable.mostColumns).map { "\"m\($0)\":1" }.joined(separator: ",")
        #expect(throws: TableError.self) { try table("{\(many)}\n") }
        #expect(try table("").text == "\r\n")
    }
}
