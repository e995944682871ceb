package main

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// storageConfig has the settings of the published `file_storage`, so that a misspelt one is refused here, too.
type storageConfig struct {
	Directory       string         `mapstructure:"directory"`
	CreateDirectory bool           `mapstructure:"create_directory"`
	FSync           bool           `mapstructure:"fsync"`
	Compaction      map[string]any `mapstructure:"compaction"`
}

func newStorageFactory() extension.Factory {
	defaults := func() component.Config { return &storageConfig{} }
	create := func(_ context.Context, _ extension.Settings, cfg component.Config) (extension.Extension, error) {
		return &fileStorage{config: cfg.(*storageConfig)}, nil
	}
	return extension.NewFactory(component.MustNewType("file_storage"), defaults, create, component.StabilityLevelDevelopment)
}

// fileStorage keeps each key in a file. Slow and simple: the queue that uses it is what is under test.
type fileStorage struct {
	config *storageConfig
}

func (s *fileStorage) Start(context.Context, component.Host) error {
	return os.MkdirAll(s.config.Directory, 0o750)
}

func (s *fileStorage) Shutdown(context.Context) error {
	return nil
}

func (s *fileStorage) GetClient(_ context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	folder := filepath.Join(s.config.Directory, hex.EncodeToString([]byte(kind.String()+" "+id.String()+" "+name)))
	return &fileClient{folder: folder, fsync: s.config.FSync}, os.MkdirAll(folder, 0o750)
}

type fileClient struct {
	mutex  sync.Mutex
	folder string
	fsync  bool
}

func (c *fileClient) path(key string) string {
	return filepath.Join(c.folder, hex.EncodeToString([]byte(key)))
}

func (c *fileClient) Get(ctx context.Context, key string) ([]byte, error) {
	operation := storage.GetOperation(key)
	err := c.Batch(ctx, operation)
	return operation.Value, err
}

func (c *fileClient) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

func (c *fileClient) Delete(ctx context.Context, key string) error {
	return c.Batch(ctx, storage.DeleteOperation(key))
}

func (c *fileClient) Batch(_ context.Context, operations ...*storage.Operation) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, operation := range operations {
		var err error
		switch operation.Type {
		case storage.Get:
			operation.Value, err = os.ReadFile(c.path(operation.Key))
		case storage.Set:
			err = c.write(c.path(operation.Key), operation.Value)
		case storage.Delete:
			err = os.Remove(c.path(operation.Key))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// A kill leaves the old value or the new one, never half of one.
func (c *fileClient) write(path string, value []byte) error {
	file, err := os.CreateTemp(c.folder, "new")
	if err != nil {
		return err
	}
	_, err = file.Write(value)
	if err == nil && c.fsync {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func (c *fileClient) Close(context.Context) error {
	return nil
}
