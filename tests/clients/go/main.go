// Runs a plan of queries through clickhouse-go over HTTP: JSON in, JSON out. See tests/clients/programs.py.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

type step struct {
	Do       string         `json:"do"`
	SQL      string         `json:"sql"`
	Settings map[string]any `json:"settings"`
	Rows     [][]any        `json:"rows"`
}

type plan struct {
	Address     string `json:"address"`
	User        string `json:"user"`
	Password    string `json:"password"`
	Database    string `json:"database"`
	Compression string `json:"compression"`
	Steps       []step `json:"steps"`
}

type result struct {
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
	Error   string   `json:"error,omitempty"`
}

var compressions = map[string]clickhouse.CompressionMethod{
	"none":    clickhouse.CompressionNone,
	"gzip":    clickhouse.CompressionGZIP,
	"deflate": clickhouse.CompressionDeflate,
	"br":      clickhouse.CompressionBrotli,
	"lz4":     clickhouse.CompressionLZ4,
	"zstd":    clickhouse.CompressionZSTD,
}

func main() {
	var given plan
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	options := &clickhouse.Options{
		Addr:        []string{given.Address},
		Auth:        clickhouse.Auth{Database: given.Database, Username: given.User, Password: given.Password},
		Protocol:    clickhouse.HTTP,
		Compression: &clickhouse.Compression{Method: compressions[given.Compression], Level: 3},
		DialTimeout: 20 * time.Second,
		ReadTimeout: 60 * time.Second,
	}
	results := make([]result, 0, len(given.Steps))
	db := clickhouse.OpenDB(options)
	defer db.Close()
	for _, s := range given.Steps {
		var done result
		var err error
		switch s.Do {
		case "insert":
			err = insert(options, s)
		case "cancel":
			err = cancelled(db, s)
		default:
			done, err = query(context.Background(), db, s)
		}
		if err != nil {
			done.Error = err.Error()
		}
		results = append(results, done)
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func query(ctx context.Context, db *sql.DB, s step) (result, error) {
	done := result{}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(s.Settings))
	rows, err := db.QueryContext(ctx, s.SQL)
	if err != nil {
		return done, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return done, err
	}
	for _, column := range types {
		done.Columns = append(done.Columns, column.Name())
	}
	for rows.Next() {
		into := make([]any, len(types))
		for i, column := range types {
			into[i] = reflect.New(column.ScanType()).Interface()
		}
		if err := rows.Scan(into...); err != nil {
			return done, err
		}
		row := make([]any, len(types))
		for i, column := range types {
			row[i] = shown(reflect.ValueOf(into[i]).Elem(), column.DatabaseTypeName())
		}
		done.Rows = append(done.Rows, row)
	}
	return done, rows.Err()
}

// shown makes a value comparable: times are seconds, days are YYYY-MM-DD, what JSON has no word for is text.
func shown(value reflect.Value, kind string) any {
	for value.Kind() == reflect.Pointer || value.Kind() == reflect.Interface {
		if value.IsNil() {
			return nil
		}
		value = value.Elem()
	}
	switch v := value.Interface().(type) {
	case time.Time:
		if strings.Contains(kind, "DateTime") {
			return float64(v.UnixMilli()) / 1000
		}
		return v.Format(time.DateOnly)
	case uuid.UUID:
		return v.String()
	case net.IP:
		return v.String()
	case decimal.Decimal:
		return v.String()
	}
	switch value.Kind() {
	case reflect.Slice, reflect.Array:
		list := make([]any, value.Len())
		for i := range list {
			list[i] = shown(value.Index(i), kind)
		}
		return list
	case reflect.Map:
		pairs := map[string]any{}
		for _, key := range value.MapKeys() {
			pairs[fmt.Sprint(shown(key, kind))] = shown(value.MapIndex(key), kind)
		}
		return pairs
	}
	return value.Interface()
}

// cancelled gives the query up shortly after its first row.
func cancelled(db *sql.DB, s step) error {
	ctx, cancel := context.WithCancel(clickhouse.Context(context.Background(), clickhouse.WithSettings(s.Settings)))
	defer cancel()
	rows, err := db.QueryContext(ctx, s.SQL)
	if err != nil {
		return err
	}
	defer rows.Close()
	rows.Next()
	cancel()
	for rows.Next() {
	}
	return rows.Err()
}

func insert(options *clickhouse.Options, s step) error {
	conn, err := clickhouse.Open(options)
	if err != nil {
		return err
	}
	defer conn.Close()
	batch, err := conn.PrepareBatch(context.Background(), s.SQL)
	if err != nil {
		return err
	}
	for _, row := range s.Rows {
		words := []string{}
		for _, word := range row[3].([]any) {
			words = append(words, word.(string))
		}
		at := time.UnixMilli(int64(row[2].(float64) * 1000)).UTC()
		if err := batch.Append(uint32(row[0].(float64)), row[1].(string), at, words); err != nil {
			return err
		}
	}
	return batch.Send()
}
