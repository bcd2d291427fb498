"""Train ReLU networks and spiking networks; the same as the command `ttfs-keras`."""

from ttfs_keras.command_line import main

if __name__ == "__main__":
    main()
